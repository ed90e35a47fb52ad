// Downstream tasks as their files have them: SIQA, LAMBADA, CommonsenseQA, GSM8K, and their like.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum task_kind {
    TASK_CHOICE, // which of the lettered answers
    TASK_WORD,   // the last word of a text
    TASK_NUMBER, // a number, at the end of the reasoning
};

// A task: what its records have and how they are asked (Table 8 of the O-Edit paper).
struct task_form {
    const char *name, *file, *title;
    const char *key;    // that tells its records from the others'
    const char *prompt; // {question}, {context}, {choices}: "A. ... B. ...", {A} ..., {sentence}
    enum task_kind kind;
    uint32_t tokens;    // generated at most
};

enum { TASK_FORMS = 4, TASK_CHOICES_MAX = 26 };
extern const struct task_form task_forms[TASK_FORMS];

struct task_item {
    char *prompt;
    char *wanted;     // the right letter, the last word, the number as it is written
    uint32_t choices; // letters from A on; 0: no choice
    uint32_t right;   // bit i: choice i is right (a text may stand there twice)
    double number;    // TASK_NUMBER
};

struct task_items {
    const struct task_form *form; // of all records
    struct task_item *items;
    size_t count, capacity;
};

struct task_file_options {
    size_t skip;        // records left out at the start
    size_t limit;       // at most so many; 0: all
    const char *prompt; // in place of the form's; NULL: that one
};

// NULL if no task has this name.
const struct task_form *task_form_named(const char *name);

// Reads a file of one form, which the first record's keys tell. A record that lacks a key or holds
// nothing usable under it fails with its number and the key.
bool task_items_open(struct task_items *items, const char *path,
                     struct task_file_options options);
void task_items_free(struct task_items *items); // accepts zero

// The last number of a text, as people write them: "1,234.5", "-3", "$12."; a minus right behind a
// digit or a letter is none ("5-3" ends in 3). False if there is none.
bool number_last(const char *text, size_t size, double *number);
