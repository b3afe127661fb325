# conn_smtp
