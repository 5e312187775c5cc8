/* banned.h - functions that must not be used. Every file is compiled with -include core/banned.h,
 * so that a use is a compile error. */

#ifndef ESP_CORE_BANNED_H
#define ESP_CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* with clang, _FORTIFY_SOURCE makes them macros, which it warns of when they are poisoned */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atof strncpy strncat

#endif
