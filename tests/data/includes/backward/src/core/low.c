/* The first stage. */
#include "join/high.h"
