/* The first stage. */
#include <stdio.h>
