int library_value = 5;

int library_function(void)
{
	return library_value;
}
