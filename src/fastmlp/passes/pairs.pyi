# Nothing for Python: other passes cimport this module's functions (pairs.pxd).
