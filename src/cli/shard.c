#include "cli/shard.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/status.h"

static bool number(const char **text, uint32_t *value)
{
    char *end;
    if (!isdigit((unsigned char)**text)) return false;
    errno = 0;
    const unsigned long long got = strtoull(*text, &end, 10);
    *text = end;
    *value = (uint32_t)got;
    return errno == 0 && got >= 1 && got <= 1000000;
}

bool shard_parse(const struct args *args, struct shard *shard)
{
    const char *at = args->shard;
    *shard = (struct shard){0};
    if (!at) return true;
    bool ok = number(&at, &shard->i) && *at++ == '/' && number(&at, &shard->n) && *at == '\0' &&
              shard->i <= shard->n;
    return ok || fail(STATUS_USAGE, "--shard: got '%s', wanted I/N as 2/4, I from 1 to N and N at "
                                    "most 1000000", args->shard);
}

void shard_range(struct shard s, uint32_t whole, uint32_t *first, uint32_t *end)
{
    *first = (uint32_t)((uint64_t)whole * (s.i - 1) / s.n);
    *end = (uint32_t)((uint64_t)whole * s.i / s.n);
}

cJSON *shard_about(const struct opened *o, struct shard shard, const char *command, uint32_t whole,
                   cJSON *of)
{
    char text[32];
    uint32_t first, end;
    cJSON *root = cJSON_CreateObject();
    if (!of) of = cJSON_CreateObject();
    cJSON_AddStringToObject(of, "command", command);
    cJSON_AddStringToObject(of, "version", OEDIT_VERSION);
    cJSON_AddStringToObject(of, "precision", o->dev.strict ? "strict" : "fast");
    cJSON_AddNumberToObject(of, "whole", whole);
    json_member(root, "of", of);
    shard_range(shard, whole, &first, &end);
    snprintf(text, sizeof text, "%u/%u", shard.i, shard.n);
    cJSON_AddStringToObject(root, "shard", text);
    cJSON_AddNumberToObject(root, "first", first);
    cJSON_AddNumberToObject(root, "end", end);
    cJSON_AddStringToObject(root, "device", o->dev.info.name);
    cJSON_AddStringToObject(root, "driver", o->dev.info.driver);
    return root;
}

const char *shard_path(const struct args *args, struct shard shard, const char *command,
                       char room[static 64])
{
    if (args->out) return args->out;
    snprintf(room, 64, "%s-%u-of-%u.part", command, shard.i, shard.n);
    return room;
}
