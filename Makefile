# Each target is `python3 make.py TARGET`; what they do: make help
PYTHON ?= python3
TARGETS = book test serve train results notebooks data site pdf set-repository links lab release lint clean help \
  editions student solutions instructor slides

.DEFAULT_GOAL = help
.PHONY: $(TARGETS)

$(TARGETS):
	@$(PYTHON) make.py $@ $(ARGS) $(URL) $(VERSION)
