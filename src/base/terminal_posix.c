#define _DEFAULT_SOURCE // fileno, ioctl
#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/options.h"

bool terminal_redraws(FILE *stream)
{
    return isatty(fileno(stream)) && !options_dumb();
}

bool terminal_colours(FILE *stream)
{
    return terminal_redraws(stream) && options_colour();
}

unsigned terminal_columns(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}
