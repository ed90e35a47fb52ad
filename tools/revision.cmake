# Writes OUT, only if it changes: #define OEDIT_REVISION, what git calls the tree in SOURCE.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=7
                OUTPUT_VARIABLE REVISION ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define OEDIT_REVISION \"${REVISION}\"\n")
