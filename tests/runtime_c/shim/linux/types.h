/* protocol.h asks for it under __KERNEL__; shim/kernel.h has the types. */
