# cmake -DIN=FILE -DOUT=FILE -P embed.cmake: the bytes of IN as a list of C numbers.
# With -DNAME=x a large file: x_words[], little-endian words of 8 bytes, zeros behind, and x_size.
file(READ ${IN} HEX HEX)
if(NAME)
  file(SIZE ${IN} SIZE)
  string(APPEND HEX "0000000000000000")
  set(BYTE "([0-9a-f][0-9a-f])")
  string(REGEX REPLACE "${BYTE}${BYTE}${BYTE}${BYTE}${BYTE}${BYTE}${BYTE}${BYTE}"
         "0x\\8\\7\\6\\5\\4\\3\\2\\1,\n" HEX "${HEX}")
  string(REGEX REPLACE "\n[0-9a-f]+$" "\n" HEX "${HEX}") # what of the zeros fills no word
  file(WRITE ${OUT} "static const uint64_t ${NAME}_words[] = {\n${HEX}};\nenum { ${NAME}_size = ${SIZE} };\n")
else()
  string(REGEX REPLACE "(................................)" "\\1\n" HEX "${HEX}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," HEX "${HEX}")
  file(WRITE ${OUT} "${HEX}\n")
endif()
