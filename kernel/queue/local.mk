# Spools, lanes, leases, retry, hold, dead letters.
libkernel_la_SOURCES += \
	%D%/accept.c \
	%D%/batch.c \
	%D%/dispatch.c \
	%D%/item.c \
	%D%/lane.c \
	%D%/load.c \
	%D%/private.h \
	%D%/queue.c %D%/queue.h \
	%D%/report.c \
	%D%/row.c \
	%D%/settle.c \
	%D%/shard.c \
	%D%/spool.c %D%/spool.h
