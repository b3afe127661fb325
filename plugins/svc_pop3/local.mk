# svc_pop3
