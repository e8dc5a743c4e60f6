"""Values and rules without input or output: receivers, projects, sessions, processors, whitelists.

Each file is one thing that an administrator sets or sees, with its check (`parse`), which serves
the running engine, the dialog, the commands and the tests alike. Read `receiver` first.
"""
