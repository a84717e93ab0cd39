int library_function(void);

int main(void)
{
	return library_function() != 5;
}
