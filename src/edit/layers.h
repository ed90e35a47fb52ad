// Which layers there are to choose from: --layers.
#pragma once
#include "edit/hparams.h"

enum { LAYERS_TEXT = 5 * LAYERS_MAX };

// `words`: numbers and ranges, as 5-10 or 3,5,8-10, in any order, each layer once. A single one is
// hparams->layer. STATUS_USAGE names what is wrong.
bool layers_read(struct hparams *hparams, const char *words, const struct config *config);

// Comma-separated and ascending; empty if layer_count is 0.
void layers_text(const struct hparams *hparams, char text[static LAYERS_TEXT]);
