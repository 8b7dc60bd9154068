# Nothing for Python: other passes cimport this module's functions (by_panels.pxd).
