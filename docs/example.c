// Writes one fact into a model with liboedit. See oedit.h for what each call says.
//   cc example.c $(pkg-config --cflags --libs --static oedit) -o example
//   ./example model.gguf "The capital of France is" France Rome new.gguf
#include <oedit.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 8) {
        fprintf(stderr, "usage: %s MODEL PROMPT SUBJECT TARGET OUT [TEXT TOKENS]\n", argv[0]);
        return 2;
    }
    struct oedit_settings settings = {.guard = "oedit-plus", .strict = true};
    if (argc == 8) { // statistics of the model from a text of one's own
        unsigned tokens = 0;
        if (sscanf(argv[7], "%u", &tokens) != 1) return 2;
        settings.text = argv[6];
        settings.tokens = tokens;
        settings.ridge = 0.05; // so that little text serves
    }
    struct oedit *model = oedit_open(argv[1], &settings);
    bool ok = model && oedit_edit(model, argv[2], argv[3], argv[4]) && oedit_save(model, argv[5]);
    if (!ok) fprintf(stderr, "%s\n", oedit_error());
    oedit_close(model);
    return ok ? 0 : oedit_status();
}
