// The runs' settings: those that all have alike, and a table of those in which they differ.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/html.h"
#include "cli/report.h"

enum { NAMES_MAX = 128 };

// Runs that differ only in their seed are one.
static bool again(const struct report *r, uint32_t i)
{
    const struct outcome *x = report_run(r, i), *y;
    for (uint32_t k = 0; k < i; k++)
        if ((y = report_run(r, k)) && strcmp(x->name, y->name) == 0) return true;
    return false;
}

static void value(FILE *to, const cJSON *item)
{
    const cJSON *part;
    if (cJSON_IsString(item)) html_text(to, item->valuestring);
    else if (cJSON_IsNumber(item) && item->valuedouble == UINT32_MAX) fputs("no limit", to);
    else if (cJSON_IsNumber(item)) fprintf(to, "%.7g", item->valuedouble); // f32
    else if (cJSON_IsBool(item)) fputs(cJSON_IsTrue(item) ? "yes" : "no", to);
    else if (cJSON_IsArray(item)) {
        cJSON_ArrayForEach(part, item)
        {
            value(to, part);
            if (part->next) fputs(", ", to);
        }
    } else fputs("\u2013", to);
}

// Names of all settings, in the order in which they are met.
static uint32_t names_find(const struct report *r, const char *names[NAMES_MAX])
{
    const struct outcome *x;
    uint32_t count = 0;
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        const cJSON *item;
        cJSON_ArrayForEach(item, report_settings(x))
        {
            uint32_t k = 0;
            if (!item->string || strcmp(item->string, "seed") == 0 ||
                strcmp(item->string, "contexts") == 0)
                continue;
            while (k < count && strcmp(names[k], item->string) != 0) k++;
            if (k == count && count < NAMES_MAX) names[count++] = item->string;
        }
    }
    return count;
}

static bool differs(const struct report *r, const char *name)
{
    const struct outcome *x = report_run(r, 0), *y;
    const cJSON *first = cJSON_GetObjectItem(report_settings(x), name);
    for (uint32_t i = 1; (y = report_run(r, i)); i++) {
        const cJSON *other = cJSON_GetObjectItem(report_settings(y), name);
        if (!first != !other || (first && !cJSON_Compare(first, other, true))) return true;
    }
    return false;
}

static void differences(const struct report *r, const char *const *names, uint32_t count, FILE *to)
{
    const struct outcome *x;
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
          "aria-label=\"Settings in which runs differ\"><table class=\"sortable\">"
          "<caption>Settings in which runs differ</caption>"
          "<thead><tr><th scope=\"col\" class=\"text\">Run</th>", to);
    for (uint32_t k = 0; k < count; k++) {
        fputs("<th scope=\"col\" class=\"text\">", to);
        html_text(to, names[k]);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>", to);
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        if (again(r, i)) continue;
        fputs("<tr><th scope=\"row\"><bdi>", to);
        html_text(to, x->label);
        fputs("</bdi></th>", to);
        for (uint32_t k = 0; k < count; k++) {
            const cJSON *item = cJSON_GetObjectItem(report_settings(x), names[k]);
            if (!item) {
                fputs("<td class=\"none text\">\u2013</td>", to);
                continue;
            }
            if (cJSON_IsNumber(item))
                fprintf(to, "<td class=\"text\" data-value=\"%.9g\">", item->valuedouble);
            else fputs("<td class=\"text\">", to);
            fputs("<bdi>", to);
            value(to, item);
            fputs("</bdi></td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table></div>\n", to);
}

static void contexts(const struct report *r, FILE *to)
{
    const struct outcome *x;
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        const cJSON *list = cJSON_GetObjectItem(report_settings(x), "contexts"), *item;
        if (!cJSON_IsArray(list) || !list->child) continue;
        fputs("<p>Prefixes before each prompt, of the model's own (", to);
        html_text(to, x->id);
        fputs("):</p><ul>", to);
        cJSON_ArrayForEach(item, list)
        {
            fputs("<li><bdi>", to);
            value(to, item);
            fputs("</bdi></li>", to);
        }
        fputs("</ul>\n", to);
        return;
    }
}

void report_hparams(const struct report *r, FILE *to)
{
    const char *names[NAMES_MAX], *other[NAMES_MAX];
    uint32_t count = names_find(r, names), differing = 0;
    for (uint32_t k = 0; k < count; k++)
        if (differs(r, names[k])) other[differing++] = names[k];
    if (differing) differences(r, other, differing, to);
    fprintf(to, "<details%s><summary>%s</summary><dl class=\"facts short\">",
            differing ? "" : " open", differing ? "Settings that all runs share" : "Settings");
    for (uint32_t k = 0; k < count; k++) {
        if (differs(r, names[k])) continue;
        fputs("<div><dt>", to);
        html_text(to, names[k]);
        fputs("</dt><dd><bdi>", to);
        value(to, cJSON_GetObjectItem(report_settings(report_run(r, 0)), names[k]));
        fputs("</bdi></dd></div>", to);
    }
    fputs("</dl>\n", to);
    contexts(r, to);
    fputs("</details>\n", to);
}
