// All measures of eval/geometry.h of one trail.
#pragma once
#include <cjson/cJSON.h>

#include "edit/trail.h"
#include "eval/geometry.h"

struct trail_geometry {
    struct spectrum total;        // of dW_total
    struct spectrum base, edited; // of W and W + dW_total; no values: not asked for
    double cos_u, cos_w;          // mean |cos| of different edits
    float *cosines_u, *cosines_w; // [count, count]
    float *own, *unrelated;       // [count]; NULL: the trail has no keys
    const struct trail *trail;    // borrowed
};

// base, edited: [dim, ffn] or NULL both.
bool trail_geometry(struct trail_geometry *geometry, struct device *dev, const struct trail *trail,
                    struct buffer *base, struct buffer *edited);
void trail_geometry_free(struct trail_geometry *geometry); // accepts zero

// |dW_total|_2 alone.
bool trail_norm(struct device *dev, const struct trail *trail, double *norm);

// `shown`: how many edits the matrices of cosines have.
cJSON *trail_geometry_json(const struct trail_geometry *geometry, uint32_t shown);
void trail_geometry_print(const struct trail_geometry *geometry);
