# cmake -DIN=FILE -DOUT=FILE -P embed.cmake: the bytes of IN as a list of C numbers.
file(READ ${IN} HEX HEX)
string(REGEX REPLACE "(................................)" "\\1\n" HEX "${HEX}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," HEX "${HEX}")
file(WRITE ${OUT} "${HEX}\n")
