// Downstream tasks: the forms of their files, what is read out of generated text, and a model's
// answers against the same model in double precision; greedy texts in a batch and one by one.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "eval/task.h"
#include "model/generate.h"
#include "ref.h"
#include "ref_model.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

static const char *file_of(const char *text)
{
    const char *path = tiny_path("task.jsonl");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

#define SIQA                                                                                    \
    "{\"context\": \"Tracy left.\", \"question\": \"Why?\", \"options\": [\"to go\", \"to {A}\"," \
    " \"to go\"], \"answer\": \"to go\"}\n"
#define CSQA                                                                                       \
    "{\"question\": \"Where?\", \"choices\": {\"label\": [\"A\", \"B\", \"C\", \"D\"], \"text\": " \
    "[\"bank\", \"mall\", \"sea\", \"sun\"]}, \"answerKey\": \"C\"}\n"
#define LAMBADA "{\"text\": \"I don't care about\\n signs' \"}\n"
#define GSM8K "{\"question\": \"How many?\", \"answer\": \"It is 3 + 4.\\n#### -1,234\"}\n"

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *prompt, *wanted;
        uint32_t choices, right;
        double number;
    } cases[] = {
        {SIQA, "siqa", "Tracy left. Why? A. to go B. to {A} C. to go Answer:", "A", 3, 5, 0},
        {CSQA, "csqa", "Where? A. bank B. mall C. sea D. sun Answer:", "C", 4, 4, 0},
        {LAMBADA, "lambada", "Please complete the following sentence: I don't care about", "signs'",
         0, 0, 0},
        {GSM8K, "gsm8k", "Question: How many? Let's think step by step. Answer:", "-1,234", 0, 0,
         -1234},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct task_items items;
        must(task_items_open(&items, file_of(cases[i].text), (struct task_file_options){0}));
        const struct task_item *item = &items.items[0];
        assert_int_equal(items.count, 1);
        assert_string_equal(items.form->name, cases[i].name);
        assert_ptr_equal(task_form_named(cases[i].name), items.form);
        assert_string_equal(item->prompt, cases[i].prompt);
        assert_string_equal(item->wanted, cases[i].wanted);
        assert_int_equal(item->choices, cases[i].choices);
        assert_int_equal(item->right, cases[i].right);
        assert_true(item->number == cases[i].number);
        task_items_free(&items);
        task_items_free(&items);
    }
    struct task_items items;
    must(task_items_open(&items, file_of(CSQA CSQA CSQA),
                         (struct task_file_options){.skip = 1, .limit = 1,
                                                    .prompt = "{B}/{question}{choices}"}));
    assert_int_equal(items.count, 1);
    assert_string_equal(items.items[0].prompt, "mall/Where?A. bank B. mall C. sea D. sun");
    task_items_free(&items);
    assert_null(task_form_named("squad"));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *prompt, *words;
    } cases[] = {
        {"{\"a\": 1}", NULL, "record 1: no task's record: none of the keys"},
        {"[3]", NULL, "record 1: no object {...}"},
        {SIQA CSQA, NULL, "record 2: key \"context\" is missing"},
        {CSQA "{\"question\": \"a\"}", NULL, "record 2: \"text\" has 0 texts, wanted 2 to 26"},
        {"{\"question\": \"a\", \"choices\": {\"label\": [\"A\"], \"text\": [\"b\", \"c\"]}, "
         "\"answerKey\": \"A\"}", NULL, "\"label\" has not 2 letters"},
        {"{\"question\": \"a\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"b\", \"c\"]},"
         " \"answerKey\": \"C\"}", NULL, "\"answerKey\" is none of \"label\": 'C'"},
        {"{\"question\": \"a\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"b\", "
         "\"c\"]}}", NULL, "key \"answerKey\" is missing"},
        {"{\"context\": \"c\", "
         "\"question\": \"a\", \"options\": [\"b\", 3], \"answer\": \"b\"}", NULL,
         "choice 2 of \"options\" is no text"},
        {"{\"context\": \"c\", "
         "\"question\": \"a\", \"options\": [\"b\", \"c\"], \"answer\": \"d\"}",
         NULL, "\"answer\" is none of \"options\": 'd'"},
        {"{\"context\": \"c\", "
         "\"question\": \" \", \"options\": [\"b\", \"c\"], \"answer\": \"b\"}",
         NULL, "\"question\" is empty"},
        {"{\"text\": \"word \"}", NULL, "\"text\" is one word"},
        {LAMBADA "{\"question\": \"a\"}", NULL, "record 2: key \"text\" is missing"},
        {"{\"question\": \"a\", \"answer\": \"#### none\"}", NULL, "no number behind ####: 'none'"},
        {"", NULL, "has no records"},
        {CSQA "{", NULL, "line 2: malformed JSON"},
        {CSQA, "{E}", "the prompt wants {E}, which it has not"},
        {GSM8K, "{choices}", "the prompt wants {choices}"},
        {GSM8K, "a {question", "a { without its }"},
        {GSM8K, "{}", "the prompt wants {}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct task_items items;
        struct task_file_options options = {.prompt = cases[i].prompt};
        must_fail(task_items_open(&items, file_of(cases[i].text), options),
                  cases[i].prompt ? STATUS_USAGE : STATUS_BAD_DATA, cases[i].words);
        assert_int_equal(items.count, 0);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double number; // NAN: none
    } cases[] = {
        {"It is 1,234.5", 1234.5}, {"-3", -3},           {"$12.", 12},
        {"so -$12.50 it is", -12.5},
        {"5-3", 3},                {"x = -0.25!", -0.25}, {"1,234,567", 1234567},
        {"1, 2", 2},               {"3,45", 45},         {"7 apples", 7},    {"12,345,6789", 6789},
        {".5", 0.5},               {"10 a.5", 5},        {"1.2.3", 3},       {"18%", 18},
        {"**42**", 42},            {"", (double)NAN},    {"none", (double)NAN},
        {"-", (double)NAN},
        {"007", 7},                {"2 -3", -3},         {"1,000", 1000},    {"9.", 9},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double number = (double)NAN;
        bool found = number_last(cases[i].text, strlen(cases[i].text), &number);
        if (found == isnan(cases[i].number) || (found && number != cases[i].number))
            fail_msg("'%s': got %g, wanted %g", cases[i].text, number, cases[i].number);
    }
    double number;
    assert_true(number_last("12345", 2, &number)); // no further than it is told
    assert_true(number == 12);
    char *many = rig_memory(1003, 1); // digits without end
    memset(many, '9', 1002);
    many[1] = '.';
    assert_true(number_last(many, 1002, &number));
    assert_true(fabs(number - 10) < 1e-12);
    free(many);
}

static void test_letters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t choices;
        int32_t choice;
    } cases[] = {
        {" A", 3, 0},         {"B. the bank", 5, 1},     {"\nC:", 3, 2},     {" D", 3, -1},
        {" The answer is (B).", 3, 1}, {" Answer: C", 3, 2}, {"", 3, -1},    {"Because", 5, -1},
        {" A good place is B", 3, 0}, {" It is A good place, B.", 3, 1},     {" a", 3, -1},
        {" It's A.", 3, 0},   {"B", 5, 1},               {" I think B", 9, 8}, {" *E*", 5, 4},
        {" so I think B", 9, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (choice_read(cases[i].text, cases[i].choices) != cases[i].choice)
            fail_msg("'%s': got %d, wanted %d", cases[i].text,
                     choice_read(cases[i].text, cases[i].choices), cases[i].choice);
    static const char *const words[][2] = {
        {" signs.", "signs"}, {"\"Nadia\", he said", "Nadia"}, {"don't.", "don't"}, {" ...", ""},
        {"", ""}, {"army\nand", "army"}};
    for (size_t i = 0; i < COUNT(words); i++) {
        const char *word;
        size_t size;
        assert_int_equal(word_first(words[i][0], &word, &size), words[i][1][0] != '\0');
        assert_int_equal(size, strlen(words[i][1]));
        assert_memory_equal(word, words[i][1], size);
    }
}

struct opened {
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct ref_model ref;
};

static void start(struct opened *o, struct rig *rig)
{
    const struct tiny tiny = {.layers = 2, .dim = 32, .ffn = 48, .heads = 4, .kv_heads = 2,
                              .head_dim = 8, .vocab = TINY_VOCAB + 30, .context = 256,
                              .own_head = true, .seed = 31};
    *o = (struct opened){0};
    tiny_open(&tiny, rig->dev, &o->weights, &o->tokenizer, &o->model);
    ref_model_open(&o->ref, &o->weights);
}

static void end(struct opened *o)
{
    ref_model_close(&o->ref);
    tiny_close(&o->weights, &o->tokenizer, &o->model);
}

// 70 questions, more than one batch of texts; each has its own letters' likelihoods.
static void choices_write(uint64_t random, uint32_t count)
{
    FILE *file = fopen(tiny_path("choices.jsonl"), "w");
    assert_non_null(file);
    for (uint32_t i = 0; i < count; i++) {
        char *words = tiny_text(3 + i % 9, random_next(&random));
        fprintf(file, "{\"question\": \"%s\", \"choices\": {\"label\": [\"A\", \"B\", \"C\"], "
                      "\"text\": [\"%s\", \"%s\", \"%s\"]}, \"answerKey\": \"%c\"}\n", words,
                tiny_words[i % 30], tiny_words[(i + 7) % 30], tiny_words[(i + 13) % 30],
                'A' + (int)(i % 3));
        free(words);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_choices(void **state)
{
    struct opened o;
    struct task_items items;
    struct task_result r;
    struct token_list list = {0};
    uint32_t right = 0;
    start(&o, *state);
    choices_write(3, 70);
    must(task_items_open(&items, tiny_path("choices.jsonl"), (struct task_file_options){0}));
    must(task_run(&items, &o.model, &o.tokenizer, &(struct task_options){0}, &r));
    assert_int_equal(r.count, 70);
    for (uint32_t i = 0; i < r.count; i++) {
        const struct task_item *item = &items.items[i];
        double wanted[3];
        uint32_t best = 0;
        must(tokenizer_encode(&o.tokenizer, item->prompt, strlen(item->prompt), ENCODE_BOS,
                              &list));
        for (uint32_t k = 0; k < 3; k++) {
            ref_next(&o.ref, list.ids, (uint32_t)list.count, TINY_VOCAB + 4 + k, &wanted[k]);
            if (wanted[k] > wanted[best]) best = k;
            // Logits of up to 10 with an error of 6e-5 of the largest (test_model.c), two of them.
            if (!(fabs(r.answers[i].likelihoods[k] - wanted[k]) < 1.2e-3))
                fail_msg("item %u, choice %u: got %g, wanted %g", i, k,
                         r.answers[i].likelihoods[k], wanted[k]);
        }
        assert_int_equal(r.answers[i].chosen, best);
        assert_int_equal(r.answers[i].right, best == i % 3);
        assert_null(r.answers[i].said);
        right += best == i % 3;
    }
    assert_int_equal(r.right, right);
    assert_true(fabs(r.accuracy - right / 70.0) < 1e-12);
    assert_true(fabs(r.error - sqrt(right / 70.0 * (1 - right / 70.0) / 70)) < 1e-12);
    token_list_free(&list);
    task_result_free(&r);
    task_result_free(&r);
    task_items_free(&items);
    end(&o);
}

// A last word of two tokens, and of one: all on top or not, and its likelihood.
static void test_words(void **state)
{
    struct opened o;
    struct task_items items;
    struct task_result r;
    struct token_list list = {0};
    uint64_t random = 5;
    uint32_t tops = 0;
    start(&o, *state);
    FILE *file = fopen(tiny_path("words.jsonl"), "w");
    assert_non_null(file);
    for (uint32_t i = 0; i < 60; i++) {
        char *text = tiny_text(6, random_next(&random));
        double ignored;
        must(tokenizer_encode(&o.tokenizer, text, strlen(text), ENCODE_BOS, &list));
        uint32_t top = ref_next(&o.ref, list.ids, (uint32_t)list.count, 0, &ignored);
        // What the model says itself, where that is a word behind a blank; else just a word.
        bool word = top >= 3 && top < TINY_VOCAB && top % 2;
        fprintf(file, "{\"text\": \"%s %s%s\"}\n", text,
                tiny_words[word ? (top - 2) / 2 : i % 30], i % 3 ? "" : ".");
        free(text);
    }
    assert_int_equal(fclose(file), 0);
    struct task_file_options plain = {.prompt = "{sentence}"};
    must(task_items_open(&items, tiny_path("words.jsonl"), plain));
    must(task_run(&items, &o.model, &o.tokenizer, &(struct task_options){0}, &r));
    for (uint32_t i = 0; i < r.count; i++) {
        char spaced[40];
        uint32_t ids[64], n;
        double sum = 0, one;
        bool all = true;
        snprintf(spaced, sizeof spaced, " %s", items.items[i].wanted);
        must(tokenizer_encode(&o.tokenizer, items.items[i].prompt, strlen(items.items[i].prompt),
                              ENCODE_BOS, &list));
        n = (uint32_t)list.count;
        memcpy(ids, list.ids, n * sizeof *ids);
        must(tokenizer_encode(&o.tokenizer, spaced, strlen(spaced), ENCODE_PLAIN, &list));
        assert_true(list.count >= 1);
        for (size_t k = 0; k < list.count; k++) {
            all = ref_next(&o.ref, ids, n, list.ids[k], &one) == list.ids[k] && all;
            sum += one;
            ids[n++] = list.ids[k];
        }
        assert_true(fabs(r.answers[i].likelihoods[0] - sum) < 1.2e-3 * (double)list.count);
        assert_int_equal(r.answers[i].right, all);
        assert_int_equal(r.answers[i].chosen, -1);
        tops += all;
    }
    assert_int_equal(r.right, tops);
    assert_in_range(tops, 5, r.count - 5); // of both kinds
    token_list_free(&list);
    task_result_free(&r);
    task_items_free(&items);
    end(&o);
}

static bool five(void *user, const struct generated *text)
{
    (void)user;
    return text->count - text->prompt == 5;
}

// Greedy texts of many prompts at once, of each alone, and by hand: the top token of the whole text
// so far, in double precision.
static void test_greedy(void **state)
{
    enum { TEXTS = 7, NEW = 9 };
    struct opened o;
    struct generated many[TEXTS] = {0};
    struct generate_options options = {.tokens = NEW, .top = 1};
    uint64_t random = 17;
    start(&o, *state);
    for (uint32_t i = 0; i < TEXTS; i++) {
        many[i].count = 1 + 5 * i;
        many[i].tokens = calloc(many[i].count, sizeof *many[i].tokens);
        assert_non_null(many[i].tokens);
        for (uint32_t k = 0; k < many[i].count; k++)
            many[i].tokens[k] = (uint32_t)(random_next(&random) % TINY_VOCAB);
    }
    must(generate(&o.model, many, TEXTS, &options, NULL));
    for (uint32_t i = 0; i < TEXTS; i++) {
        struct generated one = {.count = many[i].prompt}, short_one = {.count = many[i].prompt};
        one.tokens = calloc(one.count, sizeof *one.tokens);
        short_one.tokens = calloc(one.count, sizeof *one.tokens);
        assert_non_null(one.tokens);
        assert_non_null(short_one.tokens);
        memcpy(one.tokens, many[i].tokens, one.count * sizeof *one.tokens);
        memcpy(short_one.tokens, many[i].tokens, one.count * sizeof *one.tokens);
        must(generate(&o.model, &one, 1, &options, NULL));
        assert_int_equal(one.count, many[i].prompt + NEW);
        assert_int_equal(many[i].count, one.count);
        assert_memory_equal(one.tokens, many[i].tokens, one.count * sizeof *one.tokens);
        for (uint32_t k = one.prompt; k < one.count; k++) {
            double ignored;
            assert_int_equal(one.tokens[k], ref_next(&o.ref, one.tokens, k, 0, &ignored));
        }
        struct generate_options until = options;
        until.enough = five;
        must(generate(&o.model, &short_one, 1, &until, NULL));
        assert_int_equal(short_one.count, short_one.prompt + 5);
        assert_true(short_one.stopped && !one.stopped);
        assert_memory_equal(short_one.tokens, one.tokens, short_one.count * sizeof *one.tokens);
        free(one.tokens);
        free(short_one.tokens);
        free(many[i].tokens);
    }
    end(&o);
}

// What is generated is the model's greedy text, and is judged as it reads.
static void test_written(void **state)
{
    enum { NEW = 4 };
    uint32_t some = 0;
    struct opened o;
    struct task_items items;
    struct task_result r;
    struct token_list list = {0};
    start(&o, *state);
    choices_write(8, 200);
    must(task_items_open(&items, tiny_path("choices.jsonl"), (struct task_file_options){0}));
    must(task_run(&items, &o.model, &o.tokenizer,
                  &(struct task_options){.choose = CHOOSE_GENERATE, .tokens = NEW}, &r));
    for (uint32_t i = 0; i < r.count; i++) {
        const struct task_item *item = &items.items[i];
        uint32_t ids[128], n;
        char *said;
        size_t size;
        double ignored;
        must(tokenizer_encode(&o.tokenizer, item->prompt, strlen(item->prompt), ENCODE_BOS,
                              &list));
        n = (uint32_t)list.count;
        memcpy(ids, list.ids, n * sizeof *ids);
        for (uint32_t k = 0; k < NEW; k++, n++) ids[n] = ref_next(&o.ref, ids, n, 0, &ignored);
        must(tokenizer_decode(&o.tokenizer, ids + list.count, NEW, true, &said, &size));
        assert_string_equal(r.answers[i].said, said);
        assert_int_equal(r.answers[i].chosen, choice_read(said, 3));
        assert_int_equal(r.answers[i].none, r.answers[i].chosen < 0);
        assert_int_equal(r.answers[i].right, r.answers[i].chosen == (int32_t)(i % 3));
        assert_null(r.answers[i].likelihoods);
        some += r.answers[i].right;
        free(said);
    }
    assert_int_equal(r.right, some);
    assert_in_range(some, 1, r.count - 1);
    token_list_free(&list);
    task_result_free(&r);
    task_items_free(&items);
    end(&o);
}

// The given files, whole.
static void test_shared(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
        size_t count;
    } files[] = {{"../shared/data/siqa_dev.jsonl", "siqa", 1000},
                 {"../shared/data/csqa_dev.jsonl", "csqa", 900},
                 {"../shared/data/lambada_test.jsonl", "lambada", 1000},
                 {"../shared/data/gsm8k_test.jsonl", "gsm8k", 500}};
    for (size_t i = 0; i < COUNT(files); i++) {
        struct task_items items;
        if (access(files[i].path, R_OK) != 0) {
            print_message("skipped: no %s\n", files[i].path);
            continue;
        }
        must(task_items_open(&items, files[i].path, (struct task_file_options){0}));
        assert_string_equal(items.form->name, files[i].name);
        assert_int_equal(items.count, files[i].count);
        for (size_t k = 0; items.form->kind == TASK_CHOICE && k < items.count; k++)
            assert_int_equal(items.items[k].choices, items.form == &task_forms[0] ? 3 : 5);
        task_items_free(&items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_letters),
        cmocka_unit_test(test_choices), cmocka_unit_test(test_words),
        cmocka_unit_test(test_greedy),  cmocka_unit_test(test_written),
        cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
