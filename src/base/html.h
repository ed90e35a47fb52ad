// Texts of strangers as parts of a page. What is no UTF-8, controls but tab and new line, and the
// characters that turn the direction of what follows come out as U+FFFD.
#pragma once
#include <stdio.h>

void html_text(FILE *to, const char *text); // of an element, or of an attribute in quotes

// A string of JSON with its quotes, also where a <script> element holds it.
void html_json(FILE *to, const char *text);

// A number of JSON with so many digits; null where it is none.
void html_number(FILE *to, double value, int digits);
