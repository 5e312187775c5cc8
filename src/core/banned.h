/* banned.h - functions that must not be used. Every file is compiled with -include core/banned.h,
 * so that a use is a compile error. */

#ifndef ESP_CORE_BANNED_H
#define ESP_CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atof strncpy strncat

#endif
