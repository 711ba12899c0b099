#include "support/tokens.h"
