#define WIN32_NO_STATUS // names of ours
#define WIN32_LEAN_AND_MEAN
#include "base/terminal.h"

#include <io.h>
#include <windows.h>

#include "base/options.h"

bool terminal_redraws(FILE *stream)
{
    return _isatty(_fileno(stream)) && !options_dumb();
}

bool terminal_colours(FILE *stream)
{
    return terminal_redraws(stream) && options_colour();
}

unsigned terminal_columns(FILE *stream)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    HANDLE console = (HANDLE)_get_osfhandle(_fileno(stream));
    if (!GetConsoleScreenBufferInfo(console, &info)) return 80;
    return (unsigned)(info.srWindow.Right - info.srWindow.Left + 1);
}
