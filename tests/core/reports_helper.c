/* reports_helper.c - see reports_helper.h. */
#include "core/reports_helper.h"

void gather_report(void *context, const char *line)
{
    g_string_append_printf(context, "%s\n", line);
}
