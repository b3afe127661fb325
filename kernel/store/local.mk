# one room of the kernel
libkernel_la_SOURCES += %D%/mailstore.h
libkernel_la_SOURCES += %D%/queue_id.c %D%/queue_id.h %D%/timeline.c %D%/timeline.h %D%/timeline_file.h %D%/timeline_find.c
include %D%/engines.mk
libkernel_la_SOURCES += \
	%D%/account.c \
	%D%/body.c \
	%D%/flags.c \
	%D%/folder.c \
	%D%/folder.h \
	%D%/folder_copy.c \
	%D%/folder_insert.c \
	%D%/folder_load.c \
	%D%/folder_remove.c \
	%D%/folder_store.c \
	%D%/host_folder.c \
	%D%/host_mailbox.c \
	%D%/host_tree.c \
	%D%/mailstore.c \
	%D%/mailstore_verify.c \
	%D%/name.c \
	%D%/pack.h \
	%D%/rows.c \
	%D%/rows.h \
	%D%/table.c \
	%D%/view.c \
	%D%/view_diff.c
