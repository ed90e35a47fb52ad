#include "cli/standing.h"

#include <string.h>

#include "base/embedded.h"
#include "base/log.h"

static void take(const char **word, const char *path)
{
    if (*word && strcmp(*word, "demo") == 0) *word = path;
}

void standing_take(struct args *args, unsigned command)
{
    const unsigned readers = C_GENERATE | C_LOGITS | C_TOKENIZE;
    const unsigned learners = C_EDIT | C_EXPERIMENT | C_STATS | C_GRAD | C_BENCH | C_LOCATE | C_TRY;
    if (!args->model && (command & readers)) {
        args->model = "demo";
        log_say("no --model: the program's own, of made-up people and towns (-m demo)");
    }
    take(&args->model, EMBEDDED_MODEL);
    take(&args->base, EMBEDDED_MODEL);
    take(&args->requests, EMBEDDED_REQUESTS);
    if (command & C_EXPERIMENT) take(&args->data, EMBEDDED_REQUESTS);
    take(&args->text, EMBEDDED_TEXT);
    take(&args->ppl_text, EMBEDDED_TEXT);
    bool demo = args->model && strcmp(args->model, EMBEDDED_MODEL) == 0;
    if ((command & learners) && !args->text && demo) args->text = EMBEDDED_TEXT;
    // It has not heard of the well-known facts that are traced otherwise.
    if ((command & C_LOCATE) && !args->requests && !args->prompt && !args->subject && demo)
        args->requests = EMBEDDED_REQUESTS;
}
