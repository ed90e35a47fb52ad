# What `cmake --install` and cpack put where. The manual page and the completions are what the built
# oedit itself prints.
include(GNUInstallDirs)
set(OEDIT_ZSH ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "folder of zsh's completions")
set(MADE ${CMAKE_BINARY_DIR}/made)
file(MAKE_DIRECTORY ${MADE})

# oedit_made(FILE ARGUMENTS...): FILE is what `oedit ARGUMENTS` prints.
set(MADE_FILES "")
function(oedit_made FILE)
  add_custom_command(OUTPUT ${MADE}/${FILE} COMMAND oedit ${ARGN} > ${MADE}/${FILE} DEPENDS oedit
                     VERBATIM)
  set(MADE_FILES ${MADE_FILES} ${MADE}/${FILE} PARENT_SCOPE)
endfunction()
oedit_made(oedit.1 help --man)
oedit_made(oedit completion bash)
oedit_made(_oedit completion zsh)
oedit_made(oedit.fish completion fish)
add_custom_command(OUTPUT ${MADE}/oedit.1.gz COMMAND gzip -9nkf ${MADE}/oedit.1
                   DEPENDS ${MADE}/oedit.1 VERBATIM)

# liboedit.a is one object in which only oedit_... can be seen: a program that links it may have a
# fail() or a volk of its own.
set(INSIDE --whole-archive $<TARGET_FILE:core> --no-whole-archive ${PCRE2_STATIC}
           ${UTF8PROC_STATIC})
set(CJSON_LINK -lcjson)
if(OEDIT_CJSON_SOURCE)
  list(APPEND INSIDE $<TARGET_FILE:cjson>)
  set(CJSON_LINK "")
endif()
add_custom_command(OUTPUT ${MADE}/liboedit.a
  COMMAND ${CMAKE_LINKER} -r -o ${MADE}/liboedit.o ${INSIDE}
  COMMAND ${CMAKE_OBJCOPY} --strip-debug --wildcard --keep-global-symbol oedit_* ${MADE}/liboedit.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${MADE}/liboedit.a
  COMMAND ${CMAKE_AR} rcs ${MADE}/liboedit.a ${MADE}/liboedit.o
  DEPENDS core VERBATIM)
add_custom_target(install_files ALL
                  DEPENDS ${MADE_FILES} ${MADE}/oedit.1.gz ${MADE}/liboedit.a)

file(RELATIVE_PATH PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PREFIX "${PREFIX}")
configure_file(tools/oedit.pc.in ${MADE}/oedit.pc @ONLY)

install(TARGETS oedit)
install(FILES ${MADE}/liboedit.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${MADE}/oedit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES include/oedit.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${MADE}/oedit.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${MADE}/oedit DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${MADE}/_oedit DESTINATION ${OEDIT_ZSH})
install(FILES ${MADE}/oedit.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md SECURITY.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
file(GLOB GUIDES docs/*.md)
install(FILES ${GUIDES} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES docs/example.c assets/quickstart.json assets/quickstart-hparams.json
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY assets/hparams assets/experiments tools/cluster DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
