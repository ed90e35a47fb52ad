// Patterns of a tokenizer.json, which are Oniguruma's, in PCRE2's words.
#pragma once

// To be freed. What the two libraries read differently, or know different characters of, is
// translated or refused by name; NULL then.  where: the file, for messages
char *pattern_translate(const char *pattern, const char *where);

// A pattern that matches this text and nothing else; to be freed, NULL without memory.
char *pattern_literal(const char *text);
