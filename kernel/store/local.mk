# one room of the kernel
libkernel_la_SOURCES += %D%/mailstore.h
libkernel_la_SOURCES += %D%/queue_id.c %D%/queue_id.h %D%/timeline.c %D%/timeline.h %D%/timeline_file.h %D%/timeline_find.c
include %D%/engines.mk
include %D%/mailstore.mk
