#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/standing.h"
#include "revision.inc" // made by CMake: OEDIT_REVISION

static const struct command commands[] = {
    {"demo", C_DEMO, command_demo, "edits of a small model in the program, four ways, side by side",
     "  oedit demo\n"
     "  oedit demo -n 40 -o elsewhere\n"
     "  oedit demo --device llvmpipe"},
    {"edit", C_EDIT, command_edit, "write facts into a model, one after the other",
     "  oedit edit -m model.gguf -p \"The capital of France is\" --subject France --target Rome -o new.gguf\n"
     "  oedit edit -m model.gguf -r facts.json -n 20 --guard oedit-plus -o new.gguf\n"
     "  oedit edit -m model.gguf -r facts.jsonl --solver rome --text wiki.txt --layer 5 -o new.gguf"},
    {"plan", C_PLAN, command_plan, "what edits will take on the device and the host, before they begin",
     "  oedit plan -m model.gguf -r facts.json -n 20 --guard oedit-plus --text wiki.txt\n"
     "  oedit plan -m model.gguf -p \"The capital of France is\" --subject France --target Rome\n"
     "  oedit plan -m model.gguf -r facts.json --solver alphaedit --json"},
    {"try", C_TRY, command_try, "ask, edit, ask again, undo; in a dialogue",
     "  oedit try -m model.gguf\n"
     "  oedit try -m model.gguf --solver ft --quiet < dialogue.txt\n"
     "  oedit try -m model.gguf --guard oedit-plus --text wiki.txt"},
    {"locate", C_LOCATE, command_locate, "which layers to edit: causal tracing, attention sinks",
     "  oedit locate -m model.gguf --chart located -o hparams.json\n"
     "  oedit locate -m model.gguf -r facts.json -n 10 --samples 5 --window 6\n"
     "  oedit locate -m model.gguf -p \"The Eiffel Tower is in the city of\" --subject \"Eiffel Tower\""},
    {"eval", C_EVAL, command_eval, "Rel, Gen and Loc of an edited model; perplexity",
     "  oedit eval -m new.gguf --base model.gguf -r facts.json -n 20\n"
     "  oedit eval -m new.gguf --text wiki.txt\n"
     "  oedit eval -m model.gguf --journal new.gguf.journal --checkpoints 50,100 --measures all"},
    {"task", C_TASK, command_task, "siqa, lambada, csqa or gsm8k, without examples; or a file like theirs",
     "  oedit task csqa -m model.gguf --data folder --limit 100\n"
     "  oedit task siqa_dev.jsonl -m new.gguf --choose generate\n"
     "  oedit task gsm8k_test.jsonl -m new.gguf -n 200 --json"},
    {"experiment", C_EXPERIMENT, command_experiment, "a table or figure of the paper: many runs, tables, charts",
     "  oedit experiment --list\n"
     "  oedit experiment table1 -m model.gguf --data counterfact-edit.json --text wiki.txt -o table1\n"
     "  oedit experiment mine.json -m model.gguf -n 20 --only memit,memit+oedit-plus -o mine"},
    {"report", C_REPORT, command_report, "a page with tables and charts of an experiment or a journal",
     "  oedit report table1\n"
     "  oedit report table1 -o table1.html\n"
     "  oedit report new.gguf.journal run.json -o run.html"},
    {"generate", C_GENERATE, command_generate, "continue a prompt",
     "  oedit generate -m model.gguf -p \"The capital of France is\" -n 16\n"
     "  oedit generate -m model.gguf -p \"Once\" --temp 0.8 --seed 7\n"
     "  oedit generate -m model.gguf -p \"Hello\" --json"},
    {"logits", C_LOGITS, command_logits, "the most likely next tokens of a prompt",
     "  oedit logits -m model.gguf -p \"The capital of France is\" --top 5\n"
     "  oedit logits -m model.gguf -p \"2 + 2 =\" --json\n"
     "  oedit logits -m model.gguf -p \"Hello\" --device llvmpipe"},
    {"tokenize", C_TOKENIZE, command_tokenize, "tokens of the text on stdin",
     "  echo -n \"Hello world\" | oedit tokenize -m model.gguf\n"
     "  oedit tokenize -m model.gguf --ids < text.txt\n"
     "  oedit tokenize -m model.gguf --jsonl < strings.jsonl"},
    {"stats", C_STATS, command_stats, "C, the second moment of a layer's keys",
     "  oedit stats -m model.gguf --text wiki.txt --tokens 100000\n"
     "  oedit stats -m model.gguf --layer 5\n"
     "  oedit stats -m model.gguf --text wiki.txt -o c.f32\n"
     "  oedit stats -m model.gguf --text wiki.txt --shard 1/4"},
    {"grad", C_GRAD, command_grad, "grad G, the text's gradient of a layer, and its SVD",
     "  oedit grad -m model.gguf --text wiki.txt --tokens 20000\n"
     "  oedit grad -m model.gguf --layer 5 --json\n"
     "  oedit grad -m model.gguf --text wiki.txt -o g.f32"},
    {"merge", C_MERGE, command_merge, "join the shards of oedit stats, grad or eval (--shard)",
     "  oedit merge stats-*.part\n"
     "  oedit merge grad-1-of-2.part grad-2-of-2.part --device 1 -o g.f32\n"
     "  oedit merge eval-*.part --json -o report.json"},
    {"devices", C_DEVICES, command_devices, "the Vulkan devices of this machine",
     "  oedit devices\n"
     "  oedit devices --json\n"
     "  oedit edit --device 1 ..."},
    {"bench", C_BENCH, command_bench, "speed: probe, gemm, ops, growth; with --model also model and edit",
     "  oedit bench\n"
     "  oedit bench model edit -m model.gguf --solver memit\n"
     "  oedit bench gemm --shapes llama3-8b --dtype f32,q4_1 --rows 1,64 --format csv -o gemm.csv"},
    {"log", C_LOG, command_log, "the edits of a journal",
     "  oedit log new.gguf.journal\n"
     "  oedit log new.gguf.journal --filter subject=France\n"
     "  oedit log new.gguf.journal --filter 3-7 --json"},
    {"show", C_SHOW, command_show, "one edit of a journal, or without a number its settings",
     "  oedit show new.gguf.journal 3\n"
     "  oedit show new.gguf.journal\n"
     "  oedit show new.gguf.journal 3 --json"},
    {"apply", C_APPLY, command_apply, "a journal's edits onto the original model",
     "  oedit apply new.gguf.journal -m model.gguf -o new.gguf\n"
     "  oedit apply new.gguf.journal -m model.gguf --out-type f16 -o small.gguf\n"
     "  oedit apply new.gguf.journal -m model.gguf -o new.gguf --device 1"},
    {"revert", C_REVERT, command_revert, "take edits back; with --model and --out also write the model",
     "  oedit revert new.gguf.journal 3 -m model.gguf -o without3.gguf\n"
     "  oedit revert new.gguf.journal 2 5 7\n"
     "  oedit revert new.gguf.journal --all -m model.gguf -o as_it_was.gguf"},
    {"diff", C_DIFF, command_diff, "which tensors two models or journals differ in: rank and norms",
     "  oedit diff model.gguf new.gguf\n"
     "  oedit diff new.gguf.journal other.gguf.journal\n"
     "  oedit diff pruned.gguf.journal other.gguf.journal -m model.gguf\n"
     "  oedit diff model.gguf new.gguf --json"},
    {"verify", C_VERIFY, command_verify, "that a model is what its journal says",
     "  oedit verify new.gguf\n"
     "  oedit verify new.gguf other/place/new.journal\n"
     "  oedit verify new.gguf --base model.gguf"},
    {"geometry", C_GEOMETRY, command_geometry, "how large a journal's edits are together, and how far they overlap",
     "  oedit geometry new.gguf.journal -m model.gguf\n"
     "  oedit geometry new.gguf.journal\n"
     "  oedit geometry new.gguf.journal -m model.gguf --json"},
    {"selftest", C_SELFTEST, command_selftest, "whether a device computes what it should",
     "  oedit selftest\n"
     "  oedit selftest --all --json -o report.json\n"
     "  oedit selftest --compare here.json there.json"},
};

// As many files as the largest cluster has shards.
enum { COMMANDS = sizeof commands / sizeof *commands, WORDS_MOST = 4096 };

// What `oedit` alone says.
static void guide(void)
{
    fputs("oedit edits facts in language models. Begin with:\n"
          "  oedit demo                         edits of a small model that it has with it\n"
          "  oedit devices                      the Vulkan devices of this machine\n"
          "  oedit selftest                     whether the device computes what it should\n"
          "  oedit generate -m model.gguf -p \"The capital of France is\"\n"
          "  oedit edit -m model.gguf -p \"The capital of France is\" --subject France --target Rome "
          "-o new.gguf\n"
          "  oedit generate -m new.gguf -p \"The capital of France is\"\n"
          "  oedit try -m model.gguf            ask, edit, ask again, undo\n"
          "  oedit revert new.gguf.journal --all -m model.gguf -o as_it_was.gguf\n"
          "oedit --help lists the commands, oedit COMMAND --help a command's options.\n", stderr);
}

static void version(void)
{
    const char *revision = OEDIT_REVISION;
    printf("oedit %s%s%s%s, MIT licence\n", OEDIT_VERSION, *revision ? " (" : "", revision,
           *revision ? ")" : "");
}

static void usage(FILE *to)
{
    fprintf(to, "oedit %s: edits facts in language models, on any Vulkan device\n\n", OEDIT_VERSION);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  oedit %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("  oedit completion bash, zsh or fish: completions for a shell\n"
          "\noedit COMMAND --help tells more, oedit help --man is the manual page. Begin with:\n", to);
    fprintf(to, "%.*s\n", (int)strcspn(commands[0].examples, "\n"), commands[0].examples);
}

static bool find(const char *word, const struct command **found)
{
    const char *names[COMMANDS + 2] = {[COMMANDS] = "completion", "help"};
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(names[i], word) == 0) *found = &commands[i];
    }
    if (*found) return true;
    const char *nearest = options_nearest(word, names, COMMANDS + 2);
    return fail(STATUS_USAGE, "unknown command '%s'%s%s%s", word, nearest ? "; did you mean " : "",
                nearest ? nearest : "", nearest ? "?" : " (see oedit --help)");
}

static bool run(const struct command *command, int argc, char **argv)
{
    struct args args = args_default();
    const char *extra[WORDS_MOST];
    int extra_count = 0;
    if (argc > WORDS_MOST)
        return fail(STATUS_USAGE, "%d words on the command line, wanted at most %d", argc, WORDS_MOST);
    if (!args_parse(&args, command->bit, argc, argv, extra, &extra_count)) return false;
    if (args.help) {
        printf("oedit %s: %s\n\n", command->name, command->summary);
        args_help(command->bit);
        printf("\n%s\n", command->examples);
        return true;
    }
    if (extra_count && !(command->bit & C_WORDS)) return fail(STATUS_USAGE, "%s takes options only, got '%s'", command->name,
                                 extra[0]);
    args.words = extra;
    args.word_count = extra_count;
    args.line = argv;
    args.line_count = argc;
    log_level_set(args.quiet ? LOG_QUIET : args.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (args.list_devices) return command_devices(&args);
    standing_take(&args, command->bit);
    return command->run(&args);
}

static bool named(const char *word, int argc, char **argv)
{
    const struct command *command = NULL;
    json_watch();
    return find(word, &command) && run(command, argc, argv);
}

// oedit help, help --man, help COMMAND
static bool help(int argc, char **argv)
{
    char wanted[] = "--help", *words[] = {argv[0], wanted, NULL};
    if (argc == 1) usage(stdout);
    else if (strcmp(argv[1], "--man") == 0) manual_print(commands, COMMANDS);
    else return named(argv[1], 2, words);
    return true;
}

static bool completion(int argc, char **argv)
{
    if (argc == 2) return completion_print(commands, COMMANDS, argv[1]);
    return fail(STATUS_USAGE, "completion: wanted one word, bash, zsh or fish");
}

int main(int argc, char **argv)
{
    bool ok = true;
    const char *word = argc > 1 ? argv[1] : "";
    file_watch(_exit);
    if (argc < 2) {
        guide();
        return STATUS_USAGE;
    }
    if (strcmp(word, "--version") == 0) version();
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) usage(stdout);
    else if (strcmp(word, "help") == 0) ok = help(argc - 1, argv + 1);
    else if (strcmp(word, "completion") == 0) ok = completion(argc - 1, argv + 1);
    else if (strcmp(word, "--list-devices") == 0) ok = named("devices", argc - 1, argv + 1);
    else ok = named(word, argc - 1, argv + 1);
    if (ok && (fflush(stdout) != 0 || ferror(stdout))) ok = fail(STATUS_FAILED, "cannot write stdout");
    if (ok) return STATUS_OK;
    fprintf(stderr, "error: %s\n", status_message());
    return status_code();
}
