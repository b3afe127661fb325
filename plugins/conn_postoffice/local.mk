# conn_postoffice
