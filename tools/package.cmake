# The Debian package and the archive that cpack makes of what is installed: tools/package.sh.
set(CPACK_PACKAGE_NAME oedit)
set(CPACK_PACKAGE_CONTACT "the oedit authors <oedit@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "edit facts in language models, on any Vulkan device")
set(CPACK_PACKAGE_DESCRIPTION "Changes single facts inside a language model, one after the other, and
measures what that did. Reads a GGUF file, edits it with ROME or MEMIT under
the guards O-Edit and O-Edit+, and writes a GGUF file. All arithmetic runs in
compute shaders through Vulkan, on a GPU or on the CPU. Brings the command
and the library liboedit.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
string(TOLOWER ${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR} SYSTEM)
set(CPACK_PACKAGE_FILE_NAME oedit-${PROJECT_VERSION}-${SYSTEM})
set(CPACK_GENERATOR TGZ)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS libvulkan1) # volk opens it at run time
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS mesa-vulkan-drivers)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

# The licences of what is linked in go along, as their packages tell them. Debian wants all that as
# `copyright`, and a changelog.
file(READ LICENSE LICENCE)
set(COPYRIGHT "oedit\n\n${LICENCE}")
set(LIBEDIT_PACKAGES "")
if(LIBEDIT)
  set(LIBEDIT_PACKAGES libedit-dev libtinfo6 libbsd-dev libmd-dev)
endif()
foreach(PACKAGE IN ITEMS libcjson-dev libpcre2-dev libutf8proc-dev libvulkan-volk-dev libvulkan-dev
                         libxxhash-dev libstb-dev fonts-dejavu-core ${LIBEDIT_PACKAGES})
  if(EXISTS /usr/share/doc/${PACKAGE}/copyright)
    file(READ /usr/share/doc/${PACKAGE}/copyright LICENCE)
    string(APPEND COPYRIGHT "\n--- contains code of Debian's package ${PACKAGE}:\n\n${LICENCE}")
  endif()
endforeach()
file(WRITE ${MADE}/copyright "${COPYRIGHT}")
file(WRITE ${MADE}/changelog "oedit (${PROJECT_VERSION}-1) unstable; urgency=low\n\n  * A build of this version.\n\n\
 -- the oedit authors <oedit@localhost>  Thu, 01 Jan 2026 00:00:00 +0000\n")
execute_process(COMMAND gzip -9nf ${MADE}/changelog)
install(FILES ${MADE}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${MADE}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME changelog.Debian.gz)
include(CPack)
