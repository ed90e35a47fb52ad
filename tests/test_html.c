// Texts of strangers on a page: nothing in them ends the place that holds them.
#define _POSIX_C_SOURCE 200809L // open_memstream
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "base/status.h"
#include "base/utf8.h"
#include "ref_must.h"

static char *written(void (*write)(FILE *to, const char *text), const char *text)
{
    char *made = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&made, &size);
    assert_non_null(to);
    write(to, text);
    assert_int_equal(fclose(to), 0);
    return made;
}

static void becomes(void (*write)(FILE *to, const char *text), const char *text, const char *wanted)
{
    char *made = written(write, text);
    assert_string_equal(made, wanted);
    free(made);
}

static void texts_are_escaped(void **state)
{
    (void)state;
    becomes(html_text, "", "");
    becomes(html_text, "a <b> & \"c\" 'd'", "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    becomes(html_text, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\t\n",
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\t\n");
    becomes(html_text, "\xd7\xa9\xd7\x9c", "\xd7\xa9\xd7\x9c"); // Hebrew stays
}

#define LOST "\xef\xbf\xbd"

static void what_is_no_text_is_replaced(void **state)
{
    (void)state;
    becomes(html_text, "a\x01z\x1b[31m\x7f\r", "a" LOST "z" LOST "[31m" LOST LOST);
    becomes(html_text, "\xff\xc0\xaf", LOST LOST LOST);
    becomes(html_text, "\xe2\x82", LOST LOST);                  // ends amid a character
    becomes(html_text, "\xed\xa0\x80", LOST LOST LOST);         // a surrogate
    becomes(html_text, "\xc2\x85", LOST);                       // a C1 control
    becomes(html_text, "\xe2\x80\xae" "abc\xe2\x81\xa9", LOST "abc" LOST); // overrides, isolates
    becomes(html_text, "\xe2\x80\xa8\xe2\x80\x93", LOST "\xe2\x80\x93");   // U+2028, a dash
}

static void json_is_safe_in_a_script(void **state)
{
    (void)state;
    becomes(html_json, "</script><!--", "\"\\u003c/script\\u003e\\u003c!--\"");
    becomes(html_json, "a\"b\\c\n", "\"a\\u0022b\\u005cc\\u000a\"");
}

// Any bytes: the page's text is UTF-8 without controls, its JSON reads back as the same text.
static void any_bytes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[24] = "";
        for (int i = 0; i < 23; i++) {
            seed = seed * 1664525u + 1013904223u;
            uint32_t pick = seed >> 24;
            text[i] =
                (char)((seed >> 8 & 3) ? pick : (uint32_t) "<>&\"'/\\-!\xe2\x80\xae"[pick % 12]);
        }
        char *page = written(html_text, text), *json = written(html_json, text);
        assert_int_equal(utf8_invalid(page, strlen(page)), strlen(page));
        assert_null(strpbrk(page, "<>\"'"));
        assert_null(strpbrk(json, "<>&'"));
        cJSON *read = cJSON_Parse(json);
        assert_true(cJSON_IsString(read));
        char *again = written(html_text, read->valuestring);
        assert_string_equal(again, page);
        for (char *at = page; *at; at++)
            assert_true((unsigned char)*at >= ' ' || *at == '\t' || *at == '\n');
        cJSON_Delete(read);
        free(again);
        free(page);
        free(json);
    }
}

static void numbers_are_json(void **state)
{
    (void)state;
    char *made = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&made, &size);
    html_number(to, 0.1234567, 4);
    fputc(',', to);
    html_number(to, NAN, 4);
    fputc(',', to);
    html_number(to, -INFINITY, 4);
    fputc(',', to);
    html_number(to, 1e30, 4);
    fclose(to);
    assert_string_equal(made, "0.1235,null,null,1e+30");
    free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped),        cmocka_unit_test(what_is_no_text_is_replaced),
        cmocka_unit_test(json_is_safe_in_a_script), cmocka_unit_test(any_bytes),
        cmocka_unit_test(numbers_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
