//! Batches: what is checked before anything is done, and the one code for what was done.
//!
//! Invariant: an element that cannot be taken refuses its whole batch; then only the refused are answered.
//! Start reading at [`refused`].

use super::reply::Reply;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchWriteResponse, Response};

/// The answer to a batch in which `check` refuses elements: those alone, each as `check` answers it.
pub(super) fn refused<M>(batch: &[M], check: impl Fn(&M) -> Option<Response>) -> Option<Reply> {
    let refusals: Vec<Response> = batch.iter().filter_map(check).collect();
    let code = refusals.last()?.code;
    Some(answer(code.unwrap_or_default(), refusals).into())
}

/// What was done, under one code: that of all, or the class of the worst.
pub(super) fn folded(responses: Vec<Response>) -> Reply {
    let codes = || responses.iter().map(|response| response.code.unwrap_or_default());
    let first = codes().next().unwrap_or(codes::EXECUTE_SUCCESS);
    let code = if codes().all(|code| code == first) {
        first
    } else if codes().any(|code| code / 1000 >= 500) {
        codes::EXECUTE_EXCEPTION
    } else if codes().any(|code| code / 1000 >= 400) {
        codes::BAD_REQUEST
    } else {
        codes::EXECUTE_SUCCESS
    };
    answer(code, responses).into()
}

/// What was done, under the code of the last that failed.
pub(super) fn unfolded(responses: Vec<Response>) -> Reply {
    let failed = responses.iter().rev().filter_map(|response| response.code).find(|code| code / 1000 != 200);
    answer(failed.unwrap_or(codes::EXECUTE_SUCCESS), responses).into()
}

fn answer(code: u32, responses: Vec<Response>) -> BatchWriteResponse {
    BatchWriteResponse {
        code: Some(code),
        info: Some(codes::info(code).to_owned()),
        size: u32::try_from(responses.len()).ok(),
        responses,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polaris::http::reply::response;

    fn code(reply: Reply) -> u32 {
        let Reply::Message(message) = reply else { panic!("a message") };
        message.code()
    }

    #[test]
    fn codes_are_folded() {
        for (inner, folds_to, last) in [
            (&[200_000, 200_000][..], 200_000, 200_000),
            (&[200_002, 200_002], 200_002, 200_000),
            (&[200_000, 200_002], 200_000, 200_000),
            (&[200_000, 400_201], 400_000, 400_201),
            (&[400_201, 400_201], 400_201, 400_201),
            (&[400_201, 400_202], 400_000, 400_202),
            (&[400_202, 500_001, 200_000], 500_000, 500_001),
            (&[401_001, 200_000], 400_000, 401_001),
        ] {
            let responses = || inner.iter().map(|code| response(*code)).collect();
            assert_eq!(code(folded(responses())), folds_to, "{inner:?}");
            assert_eq!(code(unfolded(responses())), last, "{inner:?}: not folded");
        }
    }

    #[test]
    fn one_bad_element_refuses_all() {
        let check = |element: &u32| (*element > 1).then(|| response(400_120 + element));
        assert!(refused(&[0, 1], check).is_none(), "all are good");
        let refusal = refused(&[0, 2, 1, 3], check).expect("two are bad");
        assert_eq!(code(refusal), 400_123, "the last one's");
    }
}
