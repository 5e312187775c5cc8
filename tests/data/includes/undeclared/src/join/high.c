/* The last stage. */
#include "core/low.h"
#include "event/middle.h"
