/* relay/certificate.c - the self-signed certificate of listeners that name none */
#include <config.h>

#include "relay/inside.h"

#include <unistd.h>

#include "base/log.h"
#include "relay/loop/credential.h"

static bool wants_own(const struct listener_options *listener)
{
	return listener->tls != LISTENER_TLS_NONE && listener->tls_certificate[0] == '\0' &&
	       listener->certificate_count == 0;
}

static bool is_wanted(const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (wants_own(&config->listeners[i]))
			return true;
	return false;
}

static int use(const struct certificate_files *files, bool is_new, struct err *why)
{
	char fingerprint[CREDENTIAL_FINGERPRINT_SIZE];
	struct credential *credential;
	int code = credential_load(files->certificate, files->key, &credential, why);

	if (code != ERR_OK)
		/* A new pair would surprise whoever trusts the old one: that is for a person. */
		return err_prefix(why, ERR_SYNTAX, "remove %.80s to have a new certificate made",
				  files->certificate);
	credential_own_fingerprint(credential, fingerprint);
	credential_free(&credential);
	log_info("certificate", LOG_S("file", files->certificate), LOG_B("self_signed", true),
		 LOG_B("new", is_new), LOG_S("sha256", fingerprint));
	return ERR_OK;
}

int daemon_prepare_certificate(const struct config *config, struct err *why)
{
	const struct certificate_files *files = &config->smtp.self_signed;
	bool is_new;
	int code = ERR_OK;

	if (!is_wanted(config))
		return ERR_OK;
	is_new = access(files->certificate, F_OK) != 0;
	if (is_new)
		code = credential_generate(files->certificate, files->key, config->hostname, why);
	return code == ERR_OK ? use(files, is_new, why) : code;
}
