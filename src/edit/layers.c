#include "edit/layers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

static bool number(const char **at, uint32_t *value)
{
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    unsigned long long read = strtoull(*at, &end, 10);
    *value = read > UINT32_MAX ? UINT32_MAX : (uint32_t)read;
    *at = end;
    return true;
}

// In its place among the others, which are ascending.
static bool add(struct hparams *h, uint32_t layer, const char *words, const struct config *config)
{
    uint32_t at = h->layer_count;
    if (layer >= config->layers)
        return fail(STATUS_USAGE, "--layers: got %u in '%s', the model has layers 0 to %u", layer,
                    words, config->layers - 1);
    while (at > 0 && h->layers[at - 1] > layer) at--;
    if (at > 0 && h->layers[at - 1] == layer)
        return fail(STATUS_USAGE, "--layers: got %u twice in '%s'", layer, words);
    if (h->layer_count == LAYERS_MAX)
        return fail(STATUS_USAGE, "--layers: got more than %d layers", LAYERS_MAX);
    for (uint32_t i = h->layer_count++; i > at; i--) h->layers[i] = h->layers[i - 1];
    h->layers[at] = layer;
    return true;
}

bool layers_read(struct hparams *h, const char *words, const struct config *config)
{
    const char *at = words;
    h->layer_count = 0;
    do {
        uint32_t from, to;
        if (at > words) at++; // the comma
        if (!number(&at, &from))
            return fail(STATUS_USAGE, "--layers: got '%s', wanted numbers and ranges, as 5-10 or "
                                      "3,5,8", words);
        to = from;
        if (*at == '-' && (at++, !number(&at, &to)))
            return fail(STATUS_USAGE, "--layers: got '%s', wanted a number behind %u-", words,
                        from);
        if (to < from)
            return fail(STATUS_USAGE, "--layers: got %u-%u, wanted the lower layer first", from,
                        to);
        if (*at != ',' && *at != '\0')
            return fail(STATUS_USAGE, "--layers: got '%s', wanted numbers and ranges, as 5-10 or "
                                      "3,5,8", words);
        if (to >= config->layers) from = to; // said of the range's end
        for (uint32_t layer = from; layer <= to; layer++)
            if (!add(h, layer, words, config)) return false;
    } while (*at);
    h->layer = h->layers[0];
    if (h->layer_count == 1) h->layer_count = 0;
    return true;
}

void layers_text(const struct hparams *h, char text[static LAYERS_TEXT])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < h->layer_count && used < LAYERS_TEXT; i++)
        used += (size_t)snprintf(text + used, LAYERS_TEXT - used, "%s%u", i ? "," : "",
                                 h->layers[i]);
}
