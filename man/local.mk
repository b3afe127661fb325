# Man pages. What stands between "begin" and "end" in them comes from docs/make-reference.py.
dist_man_MANS += %D%/postbusd.8 %D%/postbusctl.1 %D%/postbus.json.5 %D%/postbus-plugin.1
EXTRA_DIST += docs
