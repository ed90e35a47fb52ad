// The journal beside a run of edits: begun, or gone on with.
#pragma once
#include "cli/args.h"
#include "edit/record.h"

struct edit_journal {
    char *path;
    struct journal_writer writer;
    struct journal before; // what was there
    uint32_t edits;        // in the file by now
    struct record_room room;
};

// args->journal, or the output's name and ".journal". Locked from here on. An older journal with
// edits in it is refused without --resume; without an older one --resume begins.
bool edit_journal_open(struct edit_journal *journal, const struct args *args);
void edit_journal_close(struct edit_journal *journal); // accepts zero

// Refuses another run's journal before the statistics are made.
bool edit_journal_check(const struct edit_journal *journal, struct weights *weights,
                        const struct sequence_options *options, const struct dataset *data);

// Writes the header, or replays what is there.
bool edit_journal_start(struct edit_journal *journal, struct weights *weights,
                        struct editor *editor, uint64_t seed);

// Adds a finished edit. record: what was added, to be freed by record_edit_free.
bool edit_journal_add(struct edit_journal *journal, const struct editor *editor,
                      const struct edit *edit, struct journal_edit *record);

// After a failure: what is kept, and how to go on.
void edit_journal_tell(const struct edit_journal *journal);
