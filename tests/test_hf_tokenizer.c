// tokenizer.json: what each part of it does to a text, and what is refused. The ids wanted here are
// the tokenizers library's, version 0.23; whole vocabularies: tools/compare_tokenizer.py.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/tokenizer.h"
#include "ref_folder.h"
#include "ref_must.h"
#include "ref_tiny.h"

static const char *folder;

// The small tokenizer with one text in place of another; or a whole other one.
static void put(const char *from, const char *to)
{
    const char *text = hf_tokenizer_make(), *at = from ? strstr(text, from) : text;
    assert_non_null(at);
    char *changed = calloc(1, strlen(text) + strlen(to) + 1);
    assert_non_null(changed);
    if (from)
        sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    else
        strcpy(changed, to);
    hf_put(folder, "tokenizer.json", changed, strlen(changed));
    free(changed);
}

static void refuse(const char *from, const char *to, const char *words)
{
    struct weights weights;
    struct tokenizer tokenizer;
    put(from, to);
    must(weights_open(&weights, folder));
    must_fail(tokenizer_open(&tokenizer, &weights), STATUS_BAD_DATA, words);
    weights_close(&weights);
}

struct opened {
    struct weights weights;
    struct tokenizer tokenizer;
    struct token_list list;
};

static void start(struct opened *o, const char *from, const char *to)
{
    *o = (struct opened){0};
    put(from, to);
    must(weights_open(&o->weights, folder));
    must(tokenizer_open(&o->tokenizer, &o->weights));
}

static void end(struct opened *o)
{
    token_list_free(&o->list);
    tokenizer_free(&o->tokenizer);
    weights_close(&o->weights);
}

// The tokens of a text as "id[start,end)" one behind the other.
static void wants(struct opened *o, const char *text, unsigned flags, const char *wanted)
{
    char got[1024] = "", *at = got;
    must(tokenizer_encode(&o->tokenizer, text, strlen(text), flags, &o->list));
    for (size_t i = 0; i < o->list.count; i++)
        at += sprintf(at, "%s%u[%u,%u)", i ? " " : "", o->list.ids[i], o->list.spans[i].start,
                      o->list.spans[i].end);
    assert_string_equal(got, wanted);
}

static void test_bytes(void **state)
{
    (void)state;
    struct opened o;
    start(&o, "\"normalizer\": null", "\"normalizer\": null");
    wants(&o, "the the", ENCODE_BOS, "256[0,0) 259[0,3) 260[3,7)");
    wants(&o, "t\xc3\xa9<s>th", 0, "116[0,1) 195[1,2) 169[2,3) 256[3,6) 258[6,8)");
    wants(&o, "<s>", ENCODE_PLAIN, "60[0,1) 115[1,2) 62[2,3)");
    assert_int_equal(o.tokenizer.vocab.eos, 257);
    assert_true(tokenizer_is_special(&o.tokenizer, 256));
    char *text;
    size_t size;
    must(tokenizer_decode(&o.tokenizer, (const uint32_t[]){256, 259, 260, 195, 169}, 5, true, &text,
                          &size));
    assert_string_equal(text, "the the\xc3\xa9");
    free(text);
    assert_false(tokenizer_encode(&o.tokenizer, "a\xff", 2, 0, &o.list));
    assert_non_null(strstr(status_message(), "byte 0xff at offset 1"));
    status_clear();
    end(&o);
}

// generation_config.json says what ends an answer, else config.json's list.
static void test_stops(void **state)
{
    (void)state;
    static const char more[] = "{\"eos_token_id\": [5, 6, 7]}", none[] = "{\"eos_token_id\": null}";
    static const char bad[] = "{\"eos_token_id\": \"x\"}";
    struct opened o;
    start(&o, "\"normalizer\": null", "\"normalizer\": null");
    assert_true(o.tokenizer.vocab.stop_count == 2 && o.tokenizer.vocab.stops[0] == 257 &&
                o.tokenizer.vocab.stops[1] == 256);
    end(&o);
    hf_put(folder, "generation_config.json", more, strlen(more));
    start(&o, "\"normalizer\": null", "\"normalizer\": null");
    assert_true(o.tokenizer.vocab.stop_count == 3 && o.tokenizer.vocab.stops[2] == 7);
    assert_int_equal(o.tokenizer.vocab.eos, 257);
    end(&o);
    hf_put(folder, "generation_config.json", bad, strlen(bad));
    refuse("\"normalizer\": null", "\"normalizer\": null", "eos_token_id is no token");
    hf_put(folder, "generation_config.json", none, strlen(none));
    start(&o, "\"normalizer\": null", "\"normalizer\": null");
    assert_int_equal(o.tokenizer.vocab.stop_count, 2);
    end(&o);
}

static void test_added(void **state)
{
    (void)state;
    struct opened o;
    start(&o, "\"special\": true}]", "\"special\": true}, {\"id\": 261, \"content\": \"the\", "
                                     "\"single_word\": true, \"lstrip\": true, \"rstrip\": true}]");
    wants(&o, "a  the  b", 0, "97[0,1) 261[1,8) 98[8,9)");
    wants(&o, "bathe", 0, "98[0,1) 97[1,2) 259[2,5)");
    wants(&o, "the", ENCODE_PLAIN, "261[0,3)"); // it is not special
    end(&o);
}

#define SPLIT(pattern, behavior, invert)                                                     \
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", " \
    "\"pattern\": {" pattern "}, \"behavior\": \"" behavior "\", \"invert\": " invert        \
    "}, {\"type\": "                                                                         \
    "\"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}, \"x\": {\"type\": \"y\""

static void test_splits(void **state)
{
    (void)state;
    static const char from[] = "\"pre_tokenizer\": {\"type\": \"ByteLevel\"";
    struct opened o;
    start(&o, from, SPLIT("\"Regex\": \"h\"", "Isolated", "false"));
    wants(&o, "the", 0, "116[0,1) 104[1,2) 101[2,3)");
    end(&o);
    start(&o, from, SPLIT("\"Regex\": \"h\"", "MergedWithPrevious", "false"));
    wants(&o, "the", 0, "258[0,2) 101[2,3)");
    end(&o);
    start(&o, from, SPLIT("\"Regex\": \"t\"", "MergedWithNext", "false"));
    wants(&o, "athe", 0, "97[0,1) 259[1,4)");
    end(&o);
    start(&o, from, SPLIT("\"Regex\": \"[he]\"", "Contiguous", "false"));
    wants(&o, "the", 0, "116[0,1) 104[1,2) 101[2,3)");
    end(&o);
    start(&o, from, SPLIT("\"String\": \".\"", "Removed", "false"));
    wants(&o, "th.th", 0, "258[0,2) 258[3,5)");
    end(&o);
    start(&o, from, SPLIT("\"Regex\": \"\\\\p{L}+\"", "Removed", "true"));
    wants(&o, "th.\xc3\xa9", 0, "258[0,2) 195[3,4) 169[4,5)");
    end(&o);
    start(&o, from, SPLIT("\"Regex\": \"[\\\\u0068-\\\\x{69}]\"", "Isolated", "false"));
    wants(&o, "the", 0, "116[0,1) 104[1,2) 101[2,3)");
    end(&o);
    start(&o, from,
          SPLIT("\"Regex\": \"[\\\\s-]t|\\\\p{Lu}\"", "Removed", "false")); // Unicode 16, too
    wants(&o, "a-the\xea\x9f\x8bth", 0, "97[0,1) 104[3,4) 101[4,5) 258[8,10)");
    end(&o);
    refuse(from, SPLIT("\"Regex\": \"(\"", "Isolated", "false"), "PCRE2 error");
    static const char *const others[] = {"\\\\w",  "a\\\\b",      "\\\\h",  "\\\\p{Greek}",
                                         "[a&&b]", "[[:alpha:]]", "(?m:.)", "a{2}+",
                                         "a{,2}",  "\\\\xff"};
    for (size_t i = 0; i < COUNT(others); i++) {
        char regex[64];
        snprintf(regex, sizeof regex, "\"Regex\": \"%s\"", others[i]);
        char text[512];
        snprintf(text, sizeof text, SPLIT("%s", "Isolated", "false"), regex);
        refuse(from, text, "a pattern with ");
    }
    refuse(from, SPLIT("\"Regex\": \"a\"", "Sideways", "false"), "behavior Sideways");
    refuse(from, SPLIT("\"Glob\": \"a\"", "Isolated", "false"), "without a pattern");
}

// SentencePiece-like: 0 <unk>, 1 <s>, 2.. words, then bytes 0x00 to 0xFF from 10.
static char *piece_tokenizer(const char *normalizer, const char *pre, const char *more)
{
    static char text[8192];
    char *at = text;
    at += sprintf(
        at,
        "{\"added_tokens\": [{\"id\": 1, \"content\": \"<s>\", \"special\": true}], "
        "\"normalizer\": %s, \"pre_tokenizer\": %s, \"model\": {\"type\": \"BPE\", "
        "\"unk_token\": \"<unk>\", \"merges\": [[\"a\", \"b\"], [\"\\u2581\", \"ab\"]], %s, "
        "\"vocab\": {\"<unk>\": 0, \"a\": 2, \"b\": 3, \"ab\": 4, \"\\u2581\": 5, "
        "\"\\u2581ab\": 6",
        normalizer, pre, more);
    for (unsigned byte = 0; byte < 240; byte++)
        at += sprintf(at, ", \"<0x%02X>\": %u", byte, 10 + byte);
    sprintf(at, "}}}");
    return text;
}

static void test_pieces(void **state)
{
    (void)state;
    static const char legacy[] =
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": "
        "\"\\u2581\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}]}";
    static const char fallback[] = "\"byte_fallback\": true, \"fuse_unk\": true";
    struct opened o;
    start(&o, NULL, piece_tokenizer(legacy, "null", fallback));
    wants(&o, "ab ab", 0, "6[0,2) 6[2,5)");
    wants(&o, " ab", 0, "5[0,0) 6[0,3)");
    wants(&o, " ab", ENCODE_CONTINUES, "6[0,3)");
    wants(&o, "<s>ab", 0, "1[0,3) 6[3,5)");
    wants(&o, "\xc3\xa9" "b", 0, "5[0,0) 205[0,1) 179[1,2) 3[2,3)");
    wants(&o, "\xf0\x9f\x98\x80", 0, "5[0,0) 0[0,4)"); // <0xF0> is no token
    char *text;
    size_t size;
    must(tokenizer_decode(&o.tokenizer, (const uint32_t[]){1, 6, 6, 205, 179}, 5, true, &text,
                          &size));
    assert_string_equal(text, " ab ab\xc3\xa9");
    free(text);
    end(&o);
    start(&o, NULL,
          piece_tokenizer("null",
                          "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
                          "\"prepend_scheme\": \"first\", \"split\": false}",
                          "\"fuse_unk\": false"));
    wants(&o, "ab<s>ab", 0, "6[0,2) 1[2,5) 4[5,7)");
    wants(&o, "cc", 0, "5[0,0) 0[0,1) 0[1,2)");
    end(&o);
    start(&o, NULL,
          piece_tokenizer("null",
                          "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
                          "\"prepend_scheme\": \"always\"}",
                          "\"fuse_unk\": true"));
    wants(&o, "ab<s> ab", 0, "6[0,2) 1[2,5) 6[5,8)");
    wants(&o, "cca", 0, "5[0,0) 0[0,2) 2[2,3)");
    end(&o);
}

static void test_nfc(void **state)
{
    (void)state;
    struct opened o;
    start(&o, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
    wants(&o, "the\xcc\x81t", 0, "258[0,2) 195[2,5) 169[2,5) 116[5,6)");
    wants(&o, "the", 0, "259[0,3)");
    end(&o);
}

static void test_refused(void **state)
{
    (void)state;
    refuse(NULL, "", "is no JSON");
    refuse(NULL, "[1]", "wanted a JSON object");
    refuse(NULL, "{\"model\": {\"type\": \"\xc3\"}}", "is not UTF-8");
    refuse(NULL, "{\"model\": {}}", "lacks vocab or merges");
    refuse("\"type\": \"BPE\"", "\"type\": \"Unigram\"", "a model of type Unigram");
    refuse("\"t h\", ", "\"t q q\", ", "merge 0 \"t q q\" is not of two texts");
    refuse("\"t h\", ", "\"t \xd0\xb6\", ", "its right side is no token");
    refuse("\"th\": 258", "\"th\": 100", "have the same id 100");
    refuse("\"th\": 258", "\"th\": -1", "has no id");
    refuse("\"th\": 258", "\"th\": 1e9", "has no id");
    refuse("\"th\": 258", "\"th\": 999", "1000 tokens for an embedding of 262 rows");
    refuse("\"normalizer\": null", "\"normalizer\": {\"type\": \"Lowercase\"}", "type Lowercase");
    refuse("\"normalizer\": null",
           "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
           "\"NFC\"}, {\"type\": \"NFKC\"}]}",
           "type NFKC");
    refuse("\"normalizer\": null",
           "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": "
           "\"a\"}, \"content\": \"b\"}",
           "a pattern that is a String");
    refuse("\"pre_tokenizer\": {\"type\": \"ByteLevel\"", "\"pre_tokenizer\": {\"type\": \"Bert\"",
           "a pre-tokenizer of type Bert");
    refuse("TemplateProcessing", "BertProcessing", "a post-processor of type BertProcessing");
    refuse("{\"Sequence\": {\"id\": \"A\"}}]",
           "{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": "
           "{\"id\": \"<s>\"}}]",
           "a template of other than");
    refuse("\"ids\": [256]", "\"ids\": []", "has no id");
}

// What changes the text, behind what cuts it; sequences in sequences.
static void test_nested(void **state)
{
    (void)state;
    static const char from[] = "\"pre_tokenizer\": {\"type\": \"ByteLevel\"";
    static const char to[] =
        "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Sequence\", "
        "\"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}]}, {\"type\": "
        "\"ByteLevel\", "
        "\"add_prefix_space\": true, \"use_regex\": true}]}, \"x\": {\"type\": \"y\"";
    struct opened o;
    start(&o, from, to);
    wants(&o, "the1the", 0, "260[0,3) 32[3,3) 49[3,4) 260[4,7)");
    wants(&o, "the1", ENCODE_CONTINUES, "259[0,3) 32[3,3) 49[3,4)");
    end(&o);
    start(&o, "\"special\": true}]",
          "\"special\": true}, {\"id\": 261, \"content\": \"  \", "
          "\"normalized\": true}], \"normalizer\": {\"type\": \"Replace\", "
          "\"pattern\": {\"String\": \"  \"}, \"content\": \"\"}, \"y\": [{}]");
    wants(&o, "a  b", 0, "97[0,1) 98[3,4)"); // the token's text is empty by then: it is nowhere
    end(&o);
}

static int set_up(void **state)
{
    (void)state;
    static char path[512];
    tiny_folder_new();
    snprintf(path, sizeof path, "%s", tiny_path("."));
    folder = path;
    hf_folder(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),  cmocka_unit_test(test_added),
        cmocka_unit_test(test_stops),  cmocka_unit_test(test_splits),
        cmocka_unit_test(test_nested), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_nfc),    cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
