# one room of the kernel
libkernel_la_SOURCES += %D%/engine.h
libkernel_la_SOURCES += %D%/mailstore.h
libkernel_la_SOURCES += %D%/timeline.h
libkernel_la_SOURCES += \
	%D%/engine.h \
	%D%/engine_ops.h \
	%D%/engine.c \
	%D%/engine_memory.c \
	%D%/sorted.h \
	%D%/sorted.c
