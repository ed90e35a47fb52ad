// The table of `oedit demo`: a row a method, with bars of Rel, Gen and Loc. On a terminal it is
// drawn again in its place; elsewhere each state of a method is a line.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { DEMO_METHODS = 12, DEMO_SHARES = 3 };

struct demo_row {
    const char *id, *label;
    uint32_t edits, measured;   // made; of those whose shares these are
    double shares[DEMO_SHARES]; // NAN: not measured
};

struct demo_table {
    struct demo_row rows[DEMO_METHODS]; // [count]
    uint32_t count, total;              // methods; edits of each
    bool live, colour;
    int cells;       // of a bar
    uint32_t drawn;  // lines on the screen
    uint32_t made;   // edits by this call: the line below the table tells rate and time left
    double started;
};

// live: stdout is a terminal that redraws; without NO_COLOR it is also coloured. brief: not live.
void demo_table_start(struct demo_table *table, uint32_t total, bool brief);

// Before the first edit and behind the last one: the table alone stays.
void demo_table_wait(struct demo_table *table);
void demo_table_end(struct demo_table *table);

// NULL if there is none of that id.
struct demo_row *demo_table_row(struct demo_table *table, const char *id);

// After each edit of a row. now: it has new shares.
void demo_table_show(struct demo_table *table, const struct demo_row *row, bool now);
