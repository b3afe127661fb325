# one room of the kernel
