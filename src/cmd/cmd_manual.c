/* cmd_manual.c - `espalier manual`: the option table as Markdown; docs/manual.md is its output. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cmd/command.h"
#include "cmd/config/options.h"
#include "core/settings.h"

static const char head[] =
    "# The configuration file\n\n"
    "Printed by `espalier manual` from the table that parses the file.\n\n"
    "The file has `[sections]` with `key = value` lines. `#` begins a comment on a line of its "
    "own; "
    "an indented line continues the value before it. Spans are written `30s`, `10m`, `1h`, `7d`; "
    "sizes `64KiB`, `2GiB`; times `2024-05-01` or `2024-05-01T13:20:00Z`. On a command line "
    "`-o section.key=value` overrides an entry.\n\n"
    "Two sections are passed on rather than parsed: `[kafka]` takes any property of librdkafka as "
    "it stands, and `[schemas]` maps schema ids to schema files (`17 = schemas/impression.avsc`). "
    "`[model NAME]` may stand any number of times, one a model; with none there is one model, "
    "`main`, with the defaults.\n\n";

int cmd_manual(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        puts("Usage: espalier manual\n"
             "Prints every option of the configuration file as Markdown: what docs/manual.md "
             "holds.\n"
             "It is long: `espalier manual | less`.");
        return EX_OK;
    }
    if (argc > 1) {
        fprintf(stderr, "espalier manual: takes no arguments, not \"%s\"\n", argv[1]);
        return EX_USAGE;
    }
    fputs(head, stdout);
    esp_settings_write_manual(option_table, n_option_rows, stdout);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
