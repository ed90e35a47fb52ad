# Writes OUT, only if it changes: OEDIT_REVISION, what git calls the tree in SOURCE, and OEDIT_DATE of
# its last commit; without git the day of the build.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=7
                OUTPUT_VARIABLE REVISION ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND git -C ${SOURCE} show -s --format=%cs HEAD
                OUTPUT_VARIABLE DATE ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT DATE)
  string(TIMESTAMP DATE "%Y-%m-%d" UTC)
endif()
file(CONFIGURE OUTPUT ${OUT}
     CONTENT "#define OEDIT_REVISION \"${REVISION}\"\n#define OEDIT_DATE \"${DATE}\"\n")
