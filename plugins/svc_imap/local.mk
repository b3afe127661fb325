# svc_imap
