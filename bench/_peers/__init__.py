"""Rivals of fastmlp, each in a process of its own.

job.py says what is to be done, training.py and prediction.py how each framework's experts do it, worker.py serves them
in a process, crew.py leads the processes and interleaves them, report.py measures the machine and writes what came out.
Only job.py, crew.py and report.py are imported by the scripts: these never load a framework.
"""
