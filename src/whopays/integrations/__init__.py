"""whopays inside other libraries: each module imports the library it is made for, and nothing imports the module unasked."""
