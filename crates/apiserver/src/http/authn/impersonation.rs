//! Acting as somebody else (`kubectl --as`): the `Impersonate-*` headers, each of which must be allowed to the caller.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderMap;

use super::{AUTHENTICATED, Identity, service_account};
use crate::{
    http::authorize,
    rbac::{Attributes, UserInfo},
    status::{ApiStatus, go_quote},
    store::Store,
};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The identity that the headers ask for: the caller's own without them, another if the caller may impersonate it.
pub(crate) fn impersonated(
    caller: Arc<Identity>,
    headers: &HeaderMap,
    store: &Store,
) -> Result<Arc<Identity>, ApiStatus> {
    let Some(wanted) = wanted(headers)? else { return Ok(caller) };
    for attributes in needed(&wanted) {
        authorize::check(store, &caller, &attributes).map_err(|denied| {
            // The real server asks for the newer, narrower permission too, and tells of that.
            let newer = newer_permission(&attributes).map(|newer| authorize::check(store, &caller, &newer));
            newer.and_then(Result::err).unwrap_or(denied)
        })?;
    }
    Ok(Arc::new(with_implied_groups(wanted)))
}

fn wanted(headers: &HeaderMap) -> Result<Option<Identity>, ApiStatus> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let groups = texts(GROUP);
    let uid = texts(UID).into_iter().next();
    let extra = extra(headers);
    let Some(username) = texts(USER).into_iter().next().filter(|name| !name.is_empty()) else {
        let incomplete = !groups.is_empty() || uid.is_some() || !extra.is_empty();
        return if incomplete {
            let listed: Vec<String> = groups.iter().map(|group| go_quote(group)).collect();
            let groups =
                if listed.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", listed.join(", ")) };
            Err(ApiStatus::bad_request(format!(
                "requested &user.DefaultInfo{{Name:\"\", UID:{}, Groups:[]string{groups}, Extra:map[string][]string(nil)}} \
                 without impersonating a user name",
                go_quote(uid.as_deref().unwrap_or_default()),
            )))
        } else {
            Ok(None)
        };
    };
    Ok(Some(Identity { user: UserInfo { username, groups, uid }, extra }))
}

fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        let (Some(key), Ok(value)) = (name.as_str().strip_prefix(EXTRA), value.to_str()) else { continue };
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        extra.entry(key).or_default().push(value.to_owned());
    }
    extra
}

/// What the caller must be allowed to impersonate, one by one.
fn needed(wanted: &Identity) -> Vec<Attributes> {
    let of =
        |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| Attributes::Resource {
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        };
    let username = &wanted.user.username;
    let user = match service_account_parts(username) {
        Some((namespace, name)) => of("", "serviceaccounts", "", namespace, name),
        None => of("", "users", "", "", username),
    };
    let groups = wanted.user.groups.iter().map(|group| of("", "groups", "", "", group));
    let uid = wanted.user.uid.iter().map(|uid| of("authentication.k8s.io", "uids", "", "", uid));
    let extra = wanted.extra.iter().flat_map(|(key, values)| {
        values.iter().map(move |value| of("authentication.k8s.io", "userextras", key, "", value))
    });
    std::iter::once(user).chain(groups).chain(uid).chain(extra).collect()
}

/// What only allows to act as a user, without groups and more (constrained impersonation).
fn newer_permission(attributes: &Attributes) -> Option<Attributes> {
    match attributes {
        Attributes::Resource { resource, subresource, name, namespace, .. } if resource == "users" => {
            Some(Attributes::Resource {
                verb: "impersonate:user-info".to_owned(),
                group: "authentication.k8s.io".to_owned(),
                resource: resource.clone(),
                subresource: subresource.clone(),
                name: name.clone(),
                namespace: namespace.clone(),
            })
        }
        _ => None,
    }
}

fn service_account_parts(username: &str) -> Option<(&str, &str)> {
    username.strip_prefix("system:serviceaccount:")?.split_once(':')
}

/// A ServiceAccount named without groups gets its own; everybody is authenticated.
fn with_implied_groups(mut wanted: Identity) -> Identity {
    if wanted.user.groups.is_empty()
        && let Some((namespace, _)) = service_account_parts(&wanted.user.username)
    {
        wanted.user.groups = service_account::groups(namespace);
    }
    if wanted.user.username != "system:anonymous" && !wanted.user.groups.iter().any(|g| g == AUTHENTICATED) {
        wanted.user.groups.push(AUTHENTICATED.to_owned());
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn nothing_asked_nothing_changed_and_half_a_request_is_refused() {
        assert_eq!(wanted(&headers(&[])).unwrap(), None);
        assert_eq!(wanted(&headers(&[(GROUP, "g")])).unwrap_err().code, 400);
    }

    #[test]
    fn service_accounts_bring_their_groups() {
        let wanted = wanted(&headers(&[(USER, "system:serviceaccount:ns:agent")])).unwrap().unwrap();
        assert!(matches!(
            needed(&wanted).as_slice(),
            [Attributes::Resource { resource, namespace, name, .. }]
                if resource == "serviceaccounts" && namespace == "ns" && name == "agent"
        ));
        assert_eq!(
            with_implied_groups(wanted).user.groups,
            ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]
        );
    }

    #[test]
    fn every_header_is_checked_by_itself() {
        let wanted = wanted(&headers(&[
            (USER, "ann"),
            (GROUP, "dev"),
            (GROUP, "ops"),
            ("impersonate-extra-a%2fb", "x"),
        ]))
        .unwrap()
        .unwrap();
        assert_eq!(needed(&wanted).len(), 4);
        assert_eq!(wanted.extra["a/b"], ["x"]);
    }
}
