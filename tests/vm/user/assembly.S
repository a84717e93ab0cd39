/* A function without a prologue that has two names; one of them is for other files. */
	.text
	.globl	number
	.type	number, @function
	.type	__number, @function
__number:
number:
	mov	$39, %eax
	syscall
	cmp	$-4095, %rax
	jae	1f
	ret
1:	mov	$-1, %rax
	ret
	.size	number, . - number
	.size	__number, . - __number
	.section .note.GNU-stack,"",@progbits
